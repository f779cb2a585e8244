"""Programs that make known connections and say what they did; and the test's end of them."""
