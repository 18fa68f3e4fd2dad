"""From the API, or from recorded answers, into Bronze: what to ask for, how, and what came."""
