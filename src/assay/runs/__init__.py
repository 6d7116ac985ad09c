"""Plan to grid, estimate, budget, engine, dispatch: joins client, store and scoring."""
