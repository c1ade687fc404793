"""Generative adversarial networks: image translation, synthesis from semantic maps, StyleGAN2 and its elastic forms.

Each module holds one network or one idea; docs/gan.md lists them with their official key layouts.
"""
