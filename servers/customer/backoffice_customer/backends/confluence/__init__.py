"""Confluence: the wiki. https://developer.atlassian.com/cloud/confluence/rest/v2/intro/"""
