"""`leadlog demo`: the main job on made-up leads."""
