"""The front door: settings, command line, schedule, logs and the demo.

In: what a person typed and the environment. Out: the rooms, put together and running; one line for each failure.
The only room that knows all the others and the only one that reads the environment. It never decodes, computes
or renders a number itself.
"""
