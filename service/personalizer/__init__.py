"""The Rank, Reward and Activate calls of Azure Personalizer v1.0."""
