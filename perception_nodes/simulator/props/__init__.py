"""What stands beside a road: buildings, walls, fences, hedges, trees, poles, signs and street clutter."""
