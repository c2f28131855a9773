"""What is measured, and what it needs beside it: a module each."""
