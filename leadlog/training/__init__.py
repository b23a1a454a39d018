"""Training data that does not leak, and a model only where it earns its place.

    from leadlog.training.dataset import write_dataset
    from leadlog.training.learning import learn

    write_dataset("database_logs", "slow-data", "slow")
    learn("slow-data", "slow.model.json")

`features` holds the allow-list and how it is computed; `targets` what can be foretold.
"""
