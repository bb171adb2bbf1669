"""The commands of `pehealth`, a module each, imported when they are called."""
