CREATE DATABASE metadata OWNER penstock;
