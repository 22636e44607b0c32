"""What the app asks of the runner. Nothing here imports streamlit, torch or transformers."""
