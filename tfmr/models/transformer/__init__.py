"""The encoder-decoder Transformer (section 3, figure 1)."""
