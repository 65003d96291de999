"""
Help users to test their own software; needs `pip install htpoort[testing]`.

The fixtures come by themselves, as a plugin of pytest. Importing this package loads nothing.
"""
