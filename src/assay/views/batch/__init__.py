"""The batch page in four blocks: data, prompts, contestants and graders, limits."""
