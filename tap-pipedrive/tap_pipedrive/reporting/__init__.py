"""What a run says about itself: its plan beforehand, its metrics, its report."""
