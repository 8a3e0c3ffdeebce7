# /// script
# dependencies = ["dspy"]
# ///
