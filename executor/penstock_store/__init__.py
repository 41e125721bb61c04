"""Where artifacts and logs lie, behind one port: files, S3, and what one cloud library reaches."""
