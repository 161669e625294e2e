"""Neural parts: encoder adapter, packed batches, flat weights, heads, parser, spanning trees."""
