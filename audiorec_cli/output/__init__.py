"""What people take away: playlists, pictures and pages."""
