# /// script
# dependencies = ["instructor>=1.17"]
# ///
