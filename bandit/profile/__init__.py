"""Customers as their events show them: features for a context, point in time.

What the campaign asks for:  spec
What happened:               events, event_quality
One customer's sums:         state
Features:                    features (a registry of makers), population, activity, engagement, lifecycle

Import the modules themselves: most of them load pandas, and whoever only reads a campaign file should not wait for it.
"""
