"""The pages of the app. They read artifacts and start processes; they never train."""
