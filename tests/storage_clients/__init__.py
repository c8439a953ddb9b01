"""Other people's upload clients against our servers, over a line that breaks."""
