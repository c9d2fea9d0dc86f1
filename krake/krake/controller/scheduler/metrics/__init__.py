"""Values of metrics: ``meter`` asks providers, ``measuring`` reads what they answer (pure), ``reporting`` tells who fails."""
