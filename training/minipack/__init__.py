"""Recipe of the mini pack: four small models for one closed domain, made from synthetic speech."""
