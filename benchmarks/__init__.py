"""What the parts cost beside the least that they could, as ratios of one run on one machine.

Owns the load generator, the baselines and the measurements that `./dev bench NAME` runs, and what they found, in
`results/`. Does not own what is measured: the product is started by its own commands, as it ships, and asked over its
own doors. Nothing in `gateway` or `billing_core` imports from here.
"""
