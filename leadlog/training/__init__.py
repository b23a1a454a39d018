"""Training data without leakage, and a model only if it clearly beats the baselines.

    from leadlog.training.dataset import write_dataset
    from leadlog.training.learning import learn

    write_dataset("database_logs", "slow-data", "slow")
    learn("slow-data", "slow.model.json")

`features` holds the allow-list of features and their SQL, `targets` the quantities to predict.
"""
