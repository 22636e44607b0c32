"""The app, for 'streamlit run': the navigation lies in ui/main.py."""

from ui.main import main

main()
