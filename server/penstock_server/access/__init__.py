"""Who calls, and whether they may: authentication and authorization, without types of gRPC or HTTP."""
