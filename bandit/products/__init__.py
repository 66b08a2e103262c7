"""Product blocks: of a catalogue, the few products that each customer may be offered.

What there is:        catalogue
What customers did:   interactions
Where products come from: collaborative (an extra), similarity, popular
Who gets which:       candidates
How good that is:     ranking_quality

Import the modules themselves: most load pandas or scikit-learn. What the engine does with candidates is in
`bandit.product_candidates`, which loads neither.
"""
