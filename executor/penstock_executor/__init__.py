"""The program that claims runs, decides them by the engine and carries the decisions out (docs/architecture.md)."""
