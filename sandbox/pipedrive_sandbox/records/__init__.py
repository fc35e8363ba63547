"""Records, and which tokens may see them; all other packages use this one."""
