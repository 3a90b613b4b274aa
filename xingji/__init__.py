"""星纪 ASR: a self-hosted realtime transcription server for Chinese speech."""

__version__ = "0.1.0"
