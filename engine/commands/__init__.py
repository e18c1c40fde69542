"""The commands, one module a topic. Thin: parse, call one public function, print."""
