"""What a run gives away: exports."""
