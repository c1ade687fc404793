"""Where sensors sit: rigid transforms, rigs from YAML or TF. `a_from_b` takes points in b to points in a."""
