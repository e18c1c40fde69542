"""Who asks, what they may see and change, and what was asked: sign-in, tokens, permissions, writes, the trail."""
