"""Why a set-up does not work: facts are gathered first, then judged by functions of values."""
