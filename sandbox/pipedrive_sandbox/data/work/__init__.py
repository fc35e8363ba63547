"""What people do around deals: activities, notes, mail, calls, files, projects."""
