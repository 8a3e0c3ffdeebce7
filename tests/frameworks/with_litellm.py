# /// script
# dependencies = ["litellm"]
# ///
