"""Work around deals: activities, notes, mail, calls, files, projects."""
