"""Files of a folder or objects of a bucket, by one small set of verbs."""
