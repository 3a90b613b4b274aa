"""How right the texts are: error rates, hotwords, punctuation, times and harm, stage by stage, of a real server."""
