"""The usual architecture of a real-time audio gateway, to be measured beside ours."""
