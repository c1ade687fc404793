"""Training of generative adversarial networks: losses and their pieces, and the recipes that use them."""
