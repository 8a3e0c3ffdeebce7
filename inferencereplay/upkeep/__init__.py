"""What keeps a directory of recordings in order: checked, rid of what nobody uses, and found under its keys."""
