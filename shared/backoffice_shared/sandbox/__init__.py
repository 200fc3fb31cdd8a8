"""A fictional company, and the frame in which every vendor's sandbox shows its part of it."""
