"""The street plan of a world: where roads, junctions, blocks and walkways lie, their ground, lanes, marks and maps."""
