"""The study: recipes and profiles, the store and the runner, statistics, tables and figures."""
