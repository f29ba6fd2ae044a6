"""What people take away: playlists."""
