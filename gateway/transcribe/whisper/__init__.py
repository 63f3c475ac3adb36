"""Whisper by CTranslate2: utterances cut by Silero's voice detector, decoded whole in worker processes."""
