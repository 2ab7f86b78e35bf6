"""Tables in which every composition has been trained: the truth that search methods are judged by."""
